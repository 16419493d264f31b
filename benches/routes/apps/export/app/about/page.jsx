export default function Page() {
  return <p>about {'text '.repeat(200)}</p>;
}
