export default async function Page({ params }) {
  return <p>item {(await params).id}</p>;
}
