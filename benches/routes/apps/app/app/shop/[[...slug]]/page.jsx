export default async function Page({ params }) {
  return <p>shop {JSON.stringify((await params).slug ?? null)}</p>;
}
