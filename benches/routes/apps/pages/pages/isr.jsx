export async function getStaticProps({ locale }) {
  return { props: { locale, made: Date.now() }, revalidate: 3600 };
}

export default function Page({ locale, made }) {
  return <p>{`isr ${locale} ${made}`}</p>;
}
