export async function getStaticPaths({ locales }) {
  return { paths: locales.flatMap((locale) => ['one', 'größe'].map((id) => ({ params: { id }, locale }))), fallback: false };
}

export async function getStaticProps({ params, locale }) {
  return { props: { id: params.id, locale } };
}

export default function Page({ id, locale }) {
  return <p>{`post ${id} ${locale}`}</p>;
}
