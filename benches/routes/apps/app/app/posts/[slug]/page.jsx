export const dynamicParams = false;

export function generateStaticParams() {
  return ['one', 'größe', 'two words'].map((slug) => ({ slug }));
}

export default async function Page({ params }) {
  return <p>post {(await params).slug}</p>;
}
