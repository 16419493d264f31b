import Shown from '../next/shown';
import { WORD } from '../word';

/** Made by the build; no link prefetches it. */
export default function Page() {
  return (
    <main>
      <h1>still</h1>
      <Shown text={`the still page, release ${WORD}`} />
    </main>
  );
}
