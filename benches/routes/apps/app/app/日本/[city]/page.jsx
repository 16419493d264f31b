export default async function Page({ params }) {
  return <p>city {(await params).city}</p>;
}
