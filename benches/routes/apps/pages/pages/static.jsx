export async function getStaticProps({ locale }) {
  return { props: { locale } };
}

export default function Page({ locale }) {
  return <p>{`static ${locale} ${'text '.repeat(200)}`}</p>;
}
