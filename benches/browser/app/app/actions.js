'use server';
import { cookies } from 'next/headers';
import { WORD } from './word';

/** Tells something that only the server knows. */
export async function answer(question) {
  return `answer to ${question}, release ${WORD}`;
}

/** Keeps a word, and how often it was called. Each tab has a cookie of its own. */
export async function keep(before, data) {
  const jar = await cookies();
  const name = `kept-${data.get('tab')}`;
  const times = Number(jar.get(name)?.value.split(' ')[1] ?? 0) + 1;
  jar.set(name, `${data.get('word')} ${times} release ${WORD}`);
  return `said ${data.get('word')}, release ${WORD}`;
}
