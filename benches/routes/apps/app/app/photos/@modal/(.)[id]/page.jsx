export default async function Page({ params }) {
  return <p>photo {(await params).id}, above the list</p>;
}
