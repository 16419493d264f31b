import Link from 'next/link';

export default function Page() {
  return <Link href="/photos/1">photo 1</Link>;
}
