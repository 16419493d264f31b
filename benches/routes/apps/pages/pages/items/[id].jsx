export async function getStaticPaths() {
  return { paths: [{ params: { id: 'first' } }], fallback: 'blocking' };
}

export async function getStaticProps({ params, locale }) {
  if (params.id === 'none') return { notFound: true, revalidate: 3600 };
  if (params.id === 'moved') return { redirect: { destination: '/about', permanent: false }, revalidate: 3600 };
  return { props: { id: params.id, locale }, revalidate: 3600 };
}

export default function Page({ id, locale }) {
  return <p>{`item ${id} ${locale}`}</p>;
}
