import { draftMode } from 'next/headers';

export const revalidate = 3600;

export default async function Page() {
  return <p>{(await draftMode()).isEnabled ? 'draft' : 'published'}</p>;
}
