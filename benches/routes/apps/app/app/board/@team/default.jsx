export default function Default() {
  return <p>team by default</p>;
}
