export const dynamicParams = false;

export function generateStaticParams() {
  return [{ slug: ['first'] }, { slug: ['deep', 'in', 'there'] }, { slug: ['größe'] }];
}

export default async function Page({ params }) {
  return <p>docs {(await params).slug.join('/')}</p>;
}
