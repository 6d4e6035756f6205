// syncano/<yoursocektname>/<endpointname>.js
import Syncano from '@syncano/core'

export default async (ctx) => {
  const {response, users} = new Syncano(ctx)
  const {args, meta} = ctx 
  
  if(!meta.user) {
    return response.json("Unauthorised", 401)
  }

  await users.delete(meta.user.id)

  response.json({msg: `User with ID ${meta.user.id} has been deleted!`})
}
