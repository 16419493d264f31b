import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';
import { WORD } from '../word';

/** A form whose action has values of the page, which are encrypted in it. */
export default async function Page({ searchParams }) {
  const { tab } = await searchParams;
  const made = WORD;
  async function note(data) {
    'use server';
    (await cookies()).set(`noted-${tab}`, `${data.get('word')} in a page of ${made}, release ${WORD}`);
    redirect(`/plain?tab=${tab}`);
  }
  const noted = (await cookies()).get(`noted-${tab}`)?.value ?? 'nothing';
  return (
    <main>
      <h1>plain</h1>
      <p id="noted">noted {noted}</p>
      <form action={note}>
        <input id="word" name="word" />
        <button id="send">note</button>
      </form>
    </main>
  );
}
