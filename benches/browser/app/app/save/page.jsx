import { cookies } from 'next/headers';
import Form from './form';

export default async function Page({ searchParams }) {
  const { tab } = await searchParams;
  const kept = (await cookies()).get(`kept-${tab}`)?.value ?? 'nothing';
  return (
    <main>
      <h1>save</h1>
      <p id="kept">kept {kept}</p>
      <Form tab={tab} />
    </main>
  );
}
