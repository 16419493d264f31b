import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';
import { revalidatePath } from 'next/cache';

async function save(data) {
  'use server';
  const jar = await cookies();
  jar.set('saved', String(data.get('text')), { httpOnly: true, sameSite: 'strict', path: '/action' });
  revalidatePath('/action');
  if (data.get('go')) redirect('/who?saved=1');
}

export default async function Page() {
  const saved = (await cookies()).get('saved')?.value ?? 'nothing';
  return (
    <form action={save}>
      <p>saved {saved}</p>
      <input name="text" />
      <button>save</button>
    </form>
  );
}
