import Shown from './shown';
import { WORD } from '../word';

/** Made by the build. */
export default function Page() {
  return (
    <main>
      <h1>next</h1>
      <Shown text={`the next page, release ${WORD}`} />
    </main>
  );
}
