// Asked by `streamed.rs` alone: what comes late comes after 300 ms.
import { Suspense } from 'react';
import { connection } from 'next/server';

async function Late() {
  await new Promise((done) => setTimeout(done, 300));
  return <p>this came late</p>;
}

export default async function Page() {
  await connection();
  return (
    <main>
      <Suspense fallback={<p>this came early</p>}>
        <Late />
      </Suspense>
    </main>
  );
}
