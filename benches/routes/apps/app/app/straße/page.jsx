export default function Page() {
  return <p>in the street</p>;
}
