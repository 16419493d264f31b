export default function Failed() {
  return <p>the server failed</p>;
}
