import type { Metadata } from 'next';
import Image from 'next/image';
import hills from './hills.png';

export const metadata: Metadata = { title: 'About' };

export default function About() {
  return (
    <article>
      <p className="eyebrow">Static page</p>
      <h1>About</h1>
      <p className="lead">
        This page was rendered once, when the app was built. Every visitor gets the same HTML.
      </p>
      <figure>
        <Image
          src={hills}
          alt="Layered hills under a low sun"
          sizes="(max-width: 48rem) 100vw, 44rem"
          placeholder="blur"
          loading="eager"
        />
        <figcaption>
          The picture is a PNG in the sources. The server scales it to the width of your screen and
          sends it in a smaller format.
        </figcaption>
      </figure>
    </article>
  );
}
