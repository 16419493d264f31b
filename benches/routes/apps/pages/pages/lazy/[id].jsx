import { useRouter } from 'next/router';

export async function getStaticPaths() {
  return { paths: [], fallback: true };
}

export async function getStaticProps({ params }) {
  return { props: { id: params.id } };
}

export default function Page({ id }) {
  return useRouter().isFallback ? <p>wait</p> : <p>{`lazy ${id}`}</p>;
}
