import { Suspense } from 'react';
import { connection } from 'next/server';

async function Late({ after }) {
  await new Promise((done) => setTimeout(done, after));
  return <p>after {after}</p>;
}

export default async function Page() {
  await connection();
  return (
    <main>
      <Suspense fallback={<p>wait</p>}>
        <Late after={100} />
      </Suspense>
      <Suspense fallback={<p>wait longer</p>}>
        <Late after={250} />
      </Suspense>
    </main>
  );
}
