export const revalidate = 3600;

export default function Page() {
  return <p>made at {Date.now()}</p>;
}
