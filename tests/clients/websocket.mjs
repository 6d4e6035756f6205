// A flow over the WebSocket of the users API, with ws: node websocket.mjs <url>; prints the answers.
import WebSocket from 'ws'

const [url] = process.argv.slice(2)
const connection = new WebSocket(url)
const requests = [
  { action: 'ping', id: 0 },
  { action: 'new', data: { username: 'joe', email: 'joe@example.com', password: 'a fine long password' }, id: 1 },
  { action: 'login', data: { username: 'joe', password: 'a fine long password' }, id: 2 },
  { action: 'me', id: 3 },
  { action: 'logout', id: 4 },
  { action: 'me', id: 5 }
]
const answers = []

connection.on('open', () => requests.forEach((request) => connection.send(JSON.stringify(request))))
connection.on('message', (frame) => {
  answers.push(JSON.parse(frame))
  if (answers.length === requests.length) connection.close(1000)
})
connection.on('close', (code) => console.log(JSON.stringify({ answers, code })))
