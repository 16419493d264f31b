import { Suspense } from 'react';
import { cookies } from 'next/headers';

async function Visitor() {
  const name = (await cookies()).get('name')?.value ?? 'nobody';
  return <p>for {name}</p>;
}

export default function Page() {
  return (
    <main>
      <h1>the shell {'text '.repeat(200)}</h1>
      <Suspense fallback={<p>wait</p>}>
        <Visitor />
      </Suspense>
    </main>
  );
}
