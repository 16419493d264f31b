import { cookies, headers } from 'next/headers';

export default async function Page({ searchParams }) {
  const all = (await cookies()).getAll().map(({ name, value }) => `${name}=${value}`);
  const seen = await headers();
  return (
    <dl>
      <dt>cookies</dt>
      <dd>{all.join(';')}</dd>
      <dt>query</dt>
      <dd>{JSON.stringify(await searchParams)}</dd>
      <dt>host</dt>
      <dd>{seen.get('host')}</dd>
      <dt>proxy</dt>
      <dd>{seen.get('x-from-proxy')}</dd>
    </dl>
  );
}
