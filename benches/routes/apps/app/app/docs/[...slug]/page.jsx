export default async function Page({ params }) {
  return <p>docs {JSON.stringify((await params).slug)}</p>;
}
