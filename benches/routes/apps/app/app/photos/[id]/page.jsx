export default async function Page({ params }) {
  return <p>photo {(await params).id}, whole</p>;
}
