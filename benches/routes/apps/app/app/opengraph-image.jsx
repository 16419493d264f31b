import { ImageResponse } from 'next/og';

export const alt = 'routes';
export const size = { width: 120, height: 63 };
export const contentType = 'image/png';

export default function Image() {
  return new ImageResponse(<div style={{ fontSize: 24, width: '100%', height: '100%' }}>routes</div>, size);
}
