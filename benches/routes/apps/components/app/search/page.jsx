import { Suspense } from 'react';

async function Query({ searchParams }) {
  return <p>{JSON.stringify(await searchParams)}</p>;
}

export default function Page({ searchParams }) {
  return (
    <Suspense fallback={<p>wait</p>}>
      <Query searchParams={searchParams} />
    </Suspense>
  );
}
