export default function Page() {
  return <p>figures</p>;
}
