import { Suspense } from 'react';
import { stamp } from '../../lib/stamp';

export function generateStaticParams() {
  return [{ id: 'one' }];
}

async function Product({ params }) {
  const { id } = await params;
  return <p>{await stamp(id)}</p>;
}

export default function Page({ params }) {
  return (
    <Suspense fallback={<p>wait</p>}>
      <Product params={params} />
    </Suspense>
  );
}
