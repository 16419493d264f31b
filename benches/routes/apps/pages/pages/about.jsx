export async function getServerSideProps({ locale, query, res, req }) {
  res.setHeader('x-page', 'about');
  return { props: { locale, query, host: req.headers.host } };
}

export default function Page({ locale, query, host }) {
  return <p>{`about ${locale} ${host} ${JSON.stringify(query)}`}</p>;
}
