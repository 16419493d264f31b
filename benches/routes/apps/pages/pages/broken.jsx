export async function getServerSideProps() {
  throw new Error('this page is broken');
}

export default function Page() {
  return null;
}
