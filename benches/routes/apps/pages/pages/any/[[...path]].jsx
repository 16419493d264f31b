export async function getServerSideProps({ params }) {
  return { props: { path: params.path ?? null } };
}

export default function Page({ path }) {
  return <p>{`any ${JSON.stringify(path)}`}</p>;
}
