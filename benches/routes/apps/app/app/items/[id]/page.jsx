import { notFound } from 'next/navigation';

export const revalidate = 3600;

export function generateStaticParams() {
  return [{ id: 'first' }];
}

export default async function Page({ params }) {
  const { id } = await params;
  if (id === 'none') notFound();
  return <p>item {id}</p>;
}
