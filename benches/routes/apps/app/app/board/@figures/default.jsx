export default function Default() {
  return <p>figures by default</p>;
}
