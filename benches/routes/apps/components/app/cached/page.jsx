import { stamp } from '../lib/stamp';

export default async function Page() {
  return <p>{await stamp('page')}</p>;
}
