import type { Metadata } from 'next';
import Link from 'next/link';

export const metadata: Metadata = { title: 'Not found' };

export default function NotFound() {
  return (
    <section>
      <p className="eyebrow">404</p>
      <h1 className="notice">There is no page at this address.</h1>
      <p className="lead">
        <Link href="/">Back to the start</Link>
      </p>
    </section>
  );
}
