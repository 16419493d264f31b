export default function Page() {
  return <p>more of the board</p>;
}
