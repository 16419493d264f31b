export default function handler() {
  throw new Error('this route is broken');
}
