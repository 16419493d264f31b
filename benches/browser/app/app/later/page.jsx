import { connection } from 'next/server';
import Shown from '../next/shown';
import { WORD } from '../word';

/** Rendered at each request. */
export default async function Page() {
  await connection();
  return (
    <main>
      <h1>later</h1>
      <Shown text={`the later page, release ${WORD}`} />
    </main>
  );
}
