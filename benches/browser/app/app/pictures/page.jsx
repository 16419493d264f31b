import Image from 'next/image';
import changing from './changing.png';
import imported from './imported.png';

/** Images far below, which a browser loads when they come near. The last one is another one in each release. */
export default function Page() {
  return (
    <main>
      <h1>pictures</h1>
      <div className="far" />
      <Image id="public" src="/picture.png" alt="by its path" width={64} height={48} />
      <div className="far" />
      <Image id="imported" src={imported} alt="by an import" width={64} height={48} />
      <div className="far" />
      <Image id="changing" src={changing} alt="by an import, another one" width={64} height={48} />
    </main>
  );
}
