export async function getServerSideProps() {
  return { redirect: { destination: '/about', permanent: true } };
}

export default function Page() {
  return null;
}
