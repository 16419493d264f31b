export default function Page() {
  return <p>board</p>;
}
