export async function getServerSideProps() {
  return { notFound: true };
}

export default function Page() {
  return null;
}
