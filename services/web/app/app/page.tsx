import Link from 'next/link';
import { connection } from 'next/server';
import { instance, release } from '@/lib/instance';
import { readMessage } from '@/lib/pocketbase';

export default async function Home() {
  await connection(); // rendered anew at each request
  const message = await readMessage();

  return (
    <>
      <section>
        <p className="eyebrow">From the database</p>
        {message.state === 'ok' && (
          <h1 className={message.text.length > 80 ? 'notice' : undefined} data-testid="message">
            {message.text}
          </h1>
        )}
        {message.state === 'empty' && (
          <h1 className="notice" data-testid="message-empty">
            PocketBase answers, but holds no message yet.
          </h1>
        )}
        {message.state === 'down' && (
          <h1 className="notice" data-testid="pocketbase-down">
            PocketBase cannot be reached right now.
          </h1>
        )}
        <p className="lead">
          This page is rendered on the server at each request. The rest of the site works with or
          without PocketBase.
        </p>
      </section>

      <dl className="facts">
        <div>
          <dt>Instance</dt>
          <dd data-testid="instance">{instance()}</dd>
        </div>
        <div>
          <dt>Release</dt>
          <dd data-testid="release">{release()}</dd>
        </div>
        <div>
          <dt>PocketBase</dt>
          <dd className={message.state === 'down' ? 'bad' : 'good'}>
            {message.state === 'down' ? 'unreachable' : 'connected'}
          </dd>
        </div>
      </dl>

      <ul className="cards">
        <li>
          <Link href="/about">
            <strong>About</strong>
            <span>A static page with an optimized image.</span>
          </Link>
        </li>
        <li>
          <Link href="/isr">
            <strong>ISR</strong>
            <span>A cached page, renewed every ten seconds.</span>
          </Link>
        </li>
        <li>
          <a href="/api/hello">
            <strong>API</strong>
            <span>A route handler that answers with JSON.</span>
          </a>
        </li>
      </ul>
    </>
  );
}
