import Link from 'next/link';
import Count from './count';
import './style.css';

export default function Page() {
  return (
    <main>
      <h1>start</h1>
      <Count />
      <Link href="/about">about</Link>
    </main>
  );
}
