import Link from 'next/link';

export default function Page() {
  return <Link href="/hole">a page with a hole</Link>;
}
