import Link from 'next/link';
import Ask from './ask';
import More from './more';

export default function Page() {
  return (
    <main>
      <h1>start</h1>
      <Link id="next" href="/next">
        next
      </Link>
      <Link id="still" href="/still" prefetch={false}>
        still
      </Link>
      <Link id="later" href="/later" prefetch={false}>
        later
      </Link>
      <More />
      <Ask />
    </main>
  );
}
